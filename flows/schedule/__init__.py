"""Runs that go on by a schedule: deployments, cron, serving."""
