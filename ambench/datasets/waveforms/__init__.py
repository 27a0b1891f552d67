"""Drawn time series: four waveforms, three short events that lie on them, and bumps that are none of these."""
