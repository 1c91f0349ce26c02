"""Tests in words that a child of eleven reads: what each is called, and what it shows.

By the code of CDISC's terminology (LBTESTCD, VSTESTCD, EGTESTCD). Here is said what is measured, never what a
value means for a person: that is the doctor's. A test that is not here keeps the name it came with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reporting_pipeline.languages.marking import N_

_LIVER = N_("Shows how well your liver works.")
_KIDNEYS = N_("Shows how well your kidneys work.")
_SALTS = N_("A salt in your blood. Your body needs the right amount of it.")
_DEFENCE = N_("Cells in your blood that fight germs.")
_RED = N_("Red blood cells carry oxygen through your body.")
_FAT = N_("A kind of fat in your blood.")
_HEART = N_("How long your heart takes for one part of a beat.")
_PRESSURE = N_("How hard your blood presses on the walls of your blood vessels.")


@dataclass(frozen=True)
class PlainTest:
    """Both are sentences of the catalogues."""

    name: str
    shows: str


#: code -> words; in the order in which they are shown.
PLAIN_TESTS: Mapping[str, PlainTest] = {
    "SYSBP": PlainTest(N_("Blood pressure, upper number"), _PRESSURE),
    "DIABP": PlainTest(N_("Blood pressure, lower number"), _PRESSURE),
    "PULSE": PlainTest(N_("Pulse"), N_("How often your heart beats in one minute.")),
    "HR": PlainTest(N_("Heart rate"), N_("How often your heart beats in one minute.")),
    "RESP": PlainTest(N_("Breaths"), N_("How often you breathe in one minute.")),
    "TEMP": PlainTest(N_("Temperature"), N_("How warm your body is.")),
    "WEIGHT": PlainTest(N_("Weight"), N_("How heavy you are.")),
    "HEIGHT": PlainTest(N_("Height"), N_("How tall you are.")),
    "ALT": PlainTest(N_("ALT (liver)"), _LIVER),
    "AST": PlainTest(N_("AST (liver)"), _LIVER),
    "ALP": PlainTest(N_("ALP (liver and bones)"), N_("Shows how well your liver and bones are.")),
    "GGT": PlainTest(N_("GGT (liver)"), _LIVER),
    "BILI": PlainTest(N_("Bilirubin"), _LIVER),
    "ALB": PlainTest(N_("Albumin"), N_("A protein in your blood. Your liver makes it.")),
    "PROT": PlainTest(N_("Protein"), N_("Proteins help your body to grow and to heal.")),
    "CREAT": PlainTest(N_("Creatinine"), _KIDNEYS),
    "BUN": PlainTest(N_("Urea"), _KIDNEYS),
    "UREA": PlainTest(N_("Urea"), _KIDNEYS),
    "UREAN": PlainTest(N_("Urea"), _KIDNEYS),
    "GLUC": PlainTest(N_("Sugar"), N_("How much sugar is in your blood.")),
    "HBA1C": PlainTest(N_("HbA1c"), N_("How much sugar was in your blood in the last weeks.")),
    "CHOL": PlainTest(N_("Cholesterol"), _FAT),
    "TRIG": PlainTest(N_("Triglycerides"), _FAT),
    "SODIUM": PlainTest(N_("Sodium"), _SALTS),
    "K": PlainTest(N_("Potassium"), _SALTS),
    "CL": PlainTest(N_("Chloride"), _SALTS),
    "CA": PlainTest(N_("Calcium"), N_("Your bones and muscles need it.")),
    "HGB": PlainTest(N_("Haemoglobin"), N_("It carries oxygen in your blood.")),
    "HCT": PlainTest(N_("Haematocrit"), _RED),
    "RBC": PlainTest(N_("Red blood cells"), _RED),
    "WBC": PlainTest(N_("White blood cells"), _DEFENCE),
    "NEUT": PlainTest(N_("Neutrophils"), _DEFENCE),
    "LYM": PlainTest(N_("Lymphocytes"), _DEFENCE),
    "MONO": PlainTest(N_("Monocytes"), _DEFENCE),
    "EOS": PlainTest(N_("Eosinophils"), _DEFENCE),
    "BASO": PlainTest(N_("Basophils"), _DEFENCE),
    "MCV": PlainTest(N_("Red blood cells: size (MCV)"), _RED),
    "MCH": PlainTest(N_("Red blood cells: haemoglobin in each (MCH)"), _RED),
    "MCHC": PlainTest(N_("Red blood cells: how full of haemoglobin (MCHC)"), _RED),
    "PHOS": PlainTest(N_("Phosphate"), _SALTS),
    "MG": PlainTest(N_("Magnesium"), _SALTS),
    "URATE": PlainTest(N_("Uric acid"), _KIDNEYS),
    "CK": PlainTest(N_("Creatine kinase (muscles)"), N_("Shows how well your muscles are.")),
    "TSH": PlainTest(N_("TSH (thyroid)"), N_("Shows how well your thyroid works.")),
    "VITB12": PlainTest(N_("Vitamin B12"), N_("Your nerves and your blood need it.")),
    "CRP": PlainTest(N_("CRP"), N_("Goes up when your body fights something.")),
    "PLAT": PlainTest(N_("Platelets"), N_("They help your blood to stop a wound from bleeding.")),
    "QTC": PlainTest(N_("Heart: QTc time"), _HEART),
    "QTCB": PlainTest(N_("Heart: QTc time"), _HEART),
    "QTCF": PlainTest(N_("Heart: QTc time"), _HEART),
}
#: SDTM's lab tests of these codes are of blood only where the specimen is none of another fluid.
BLOOD = frozenset({"", "BLOOD", "SERUM", "PLASMA", "SERUM OR PLASMA"})


#: How somebody sat or lay, which side, and what it was taken by; what is not here stands as it came.
HOW_TAKEN: Mapping[str, str] = {
    "SITTING": N_("sitting"),
    "STANDING": N_("standing"),
    "SUPINE": N_("lying down"),
    "PRONE": N_("lying on your front"),
    "LEFT": N_("left"),
    "RIGHT": N_("right"),
    "ECGS": N_("from the heart test (ECG)"),
}


def plain_test(code: str, specimen: str, category: str = "") -> PlainTest | None:
    """What a test is in plain words; None for one that is not known or of another fluid than blood."""
    other = specimen.upper() not in BLOOD or "URIN" in category.upper()
    return None if other else PLAIN_TESTS.get(code.upper())
