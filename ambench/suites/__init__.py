"""Suites that come with ambench, as YAML."""
