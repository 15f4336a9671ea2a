"""Official file formats, one module a data set; each has ``export(world)``."""
