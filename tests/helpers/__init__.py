"""What several test files share: projects on the tiny preset, killed runs, video files."""
