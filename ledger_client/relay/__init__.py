"""What a site runs between devices and the chain: it takes receipts and serves proofs, trusted with
nothing.
"""
