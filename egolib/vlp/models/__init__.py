"""The network: encoders, fusion, heads, and how models are made."""
