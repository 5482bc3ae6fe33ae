"""The families of decoders: each module describes those of one ``model_type`` of config.json, as data."""
