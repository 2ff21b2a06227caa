# SPDX-License-Identifier: Apache-2.0
"""Where requests go: models lead to pools of replicas; pools know which replicas answer and which is least busy."""
