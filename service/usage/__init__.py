"""Measure the storage that images use: learn the sizes of images, of repositories, and of all of them together."""
