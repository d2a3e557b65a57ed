"""Ways to compute the force h^2 K^T s(K y + b) of a symmetric layer on a field; ``choice`` decides between them."""
