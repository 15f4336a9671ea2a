"""From official files through the documented commands to a result, for every published line."""
