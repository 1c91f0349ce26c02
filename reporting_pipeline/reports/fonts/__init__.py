"""Font files with their licences, for the scripts a name may have. No code belongs here.

Noto Sans and its script families (SIL Open Font License 1.1) and Droid Sans Fallback for Chinese,
Japanese and Korean (Apache-2.0); the licence of each stands beside it.
"""
