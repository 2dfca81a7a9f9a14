"""Pretrained recognisers of five kinds, looked into: error rates, layers, overhead, phones. See `__main__`."""
