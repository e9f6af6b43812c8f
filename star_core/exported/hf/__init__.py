"""What a folder for Hugging Face's transformers is made of: configuration, weights, tokenizer, modelling file."""
