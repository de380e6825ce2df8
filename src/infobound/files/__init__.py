"""Files and addresses as tables: CSV, Parquet, npz, npy, Excel, Feather, JSON lines.

`readers` opens any of them and makes a `Pair`; `tables` reads columns as codes. What the values of
a column mean is decided in `data`, for files and for containers in the same way.
"""
