"""From a data set as it is downloaded to a `table.csv` that trains: one small file per data set.

The way of an import: a data set's file lists what there is (`plan`), the splits are settled
(`splits`), a pool of processes writes the images (`convert`, `engine`), and the table, its data
card and its checksums are written last (`write`, `card`).
"""
