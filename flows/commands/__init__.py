"""What the commands of ``star`` do, one file each; ``star_flows.cli`` has their options."""
