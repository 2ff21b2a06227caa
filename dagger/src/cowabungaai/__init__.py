"""CowabungaAI's pipeline: builds, tests and packages every inference service."""

from cowabungaai.main import Cowabungaai as Cowabungaai
