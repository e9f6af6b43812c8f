"""The forms in which a trained model leaves, one file each (``star_core/exported/format.py``)."""
