"""Drawing of small pictures with exact masks: random scenes, silhouettes, textures, concepts and the canvas."""
