"""Videos and cameras: frames in, faces with tracks out; and what people make of them.

clip (decode, encode) → reader → follow (cuts, track) → overlay, writers, timeline → summary
"""
