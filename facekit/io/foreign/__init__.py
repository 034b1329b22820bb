"""Meshes that other tools wrote.

trimesh reads them. What comes before it mends the input, so that trimesh understands it and nothing is lost silently
(one module a format); what comes after it turns the scene into one mesh (:mod:`facekit.io.foreign.join`).
"""
