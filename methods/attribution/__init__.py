"""Attribution: methods that give back heatmaps."""
