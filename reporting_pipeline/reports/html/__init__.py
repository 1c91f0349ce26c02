"""The report as one HTML file: the same blocks as the pages, read in a browser and by a screen reader.

Belongs here: how blocks become elements, and charts SVG. What a report says belongs to its sections. No
script, nothing from elsewhere: fonts are the reader's own, pictures are inside, and the file's own content
security policy allows its one style sheet and no more.
"""
