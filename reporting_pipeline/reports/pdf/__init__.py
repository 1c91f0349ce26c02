"""The PDF report: fonts, typesetting, page layout, charts' surface, and the binding of shared bodies.

What a report says belongs in `reports/types`; this package only knows how to draw it.
"""
