"""The domains of SDTM whose results have no kind of their own, and what a reader calls them.

All are of the findings class: a row is one answer to one question (--TESTCD, --ORRES), so each reads as a
measurement. Names are those of the SDTM Implementation Guides 3.2 to 3.4, shortened. A domain of a sponsor's
own (XB) is called by its letters.
"""

from __future__ import annotations

from collections.abc import Mapping

RESULT_DOMAINS: Mapping[str, str] = {
    "BS": "Biospecimen findings",
    "CP": "Cell phenotype findings",
    "CV": "Cardiovascular findings",
    "FA": "Findings about events or interventions",
    "GF": "Genomics findings",
    "MB": "Microbiology specimen",
    "MI": "Microscopic findings",
    "MK": "Musculoskeletal findings",
    "MO": "Morphology",
    "MS": "Microbiology susceptibility",
    "NV": "Nervous system findings",
    "OE": "Ophthalmic examinations",
    "PE": "Physical examination",
    "PF": "Pharmacogenomics findings",
    "RE": "Respiratory findings",
    "RP": "Reproductive findings",
    "SC": "Subject characteristics",
    "SR": "Skin response",
    "UR": "Urinary findings",
}


def domain_in_words(domain: str) -> str:
    """The name of a domain for a reader; what is none of these stands for itself."""
    return RESULT_DOMAINS.get(domain.strip().upper(), domain.strip())
