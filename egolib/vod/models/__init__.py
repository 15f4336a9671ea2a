"""The video object detectors: ``build.build_model`` makes one from its settings."""
