"""Meshes written by other tools.

They are read by trimesh. Before it, one module per format repairs the input, so that trimesh understands it and nothing
is lost silently; after it, :mod:`facekit.io.foreign.join` turns the scene into one mesh.
"""
