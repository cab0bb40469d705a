"""Files of the media store: each is on record before it is stored, and until it is gone."""
