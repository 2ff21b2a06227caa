"""The benchmark: seconds and bytes of the main job, as JSON and as a page with charts."""
