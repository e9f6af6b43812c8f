"""What a folder for transformers is made of: configuration, tokenizer, modelling file."""
