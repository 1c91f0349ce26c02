"""Coded values in German, French, Spanish, Italian, Portuguese and Dutch, by their English word.

Whole answers alone, in capitals, without accents. What means one thing in one language and another in the
next is not here: "grave" is severe in Spanish and serious in French, "ernstig" either in Dutch. In the column
that asks whether an event is serious they answer that.

CDISC's code lists have no other language than English: these are the words that forms print for the values of
AESEV, OUT (whose values are those of ICH E2B(R3), E.i.7), NY and NRIND.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping


def without_accents(text: str) -> str:
    if text.isascii():
        return text
    split = unicodedata.normalize("NFKD", text)
    return "".join(one for one in split if not unicodedata.combining(one))


def _by_word(words: Mapping[str, str]) -> Mapping[str, str]:
    """Each of the words, which are separated by |, to what it stands for."""
    return {word: meaning for meaning, said in words.items() for word in said.split("|")}


NOT_KNOWN = (
    "UNBEKANNT",
    "INCONNU",
    "INCONNUE",
    "DESCONOCIDO",
    "DESCONOCIDA",
    "SCONOSCIUTO",
    "SCONOSCIUTA",
    "NON NOTO",
    "NON NOTA",
    "DESCONHECIDO",
    "DESCONHECIDA",
    "ONBEKEND",
)
SEVERITIES = _by_word(
    {
        "MILD": "LEICHT|LEICHTGRADIG|LEGER|LEGERE|LEVE|LIEVE|LIGEIRO|LIGEIRA|LICHT",
        "MODERATE": (
            "MASSIG|MAESSIG|MITTEL|MITTELSCHWER|MITTELGRADIG|MODERAT|MODERE|MODEREE|MODERADO|MODERADA|MODERATO|"
            "MODERATA|MATIG"
        ),
        "SEVERE": "SCHWER|SCHWERGRADIG|SEVERE|SEVERO|SEVERA",
        "LIFE THREATENING": (
            "LEBENSBEDROHLICH|LEBENSBEDROHEND|MENACANT LE PRONOSTIC VITAL|"
            "METTANT EN JEU LE PRONOSTIC VITAL|POTENCIALMENTE MORTAL|AMENAZANTE PARA LA VIDA|"
            "PERICOLOSO PER LA VITA|PERICOLOSA PER LA VITA|COM RISCO DE VIDA|"
            "LEVENSBEDREIGEND"
        ),
        "FATAL": "TODLICH|TOEDLICH|MORTEL|MORTELLE|FATALE|FATAAL|DODELIJK",
    }
)
SERIOUSNESS = _by_word(
    {
        "SERIOUS": "SCHWERWIEGEND|GRAVE|ERNSTIG|SERIO",
        "NOT SERIOUS": "NICHT SCHWERWIEGEND|NON GRAVE|NO GRAVE|NAO GRAVE|NIET ERNSTIG|NON SERIO",
    }
)
OUTCOMES = _by_word(
    {
        "RECOVERED": (
            "GENESEN|WIEDERHERGESTELLT|GUERI|GUERIE|RETABLI|RETABLIE|RESOLU|RESOLUE|"
            "RECUPERADO|RECUPERADA|RESUELTO|RESUELTA|GUARITO|GUARITA|RISOLTO|RISOLTA|"
            "RESOLVIDO|RESOLVIDA|HERSTELD"
        ),
        "RECOVERED WITH SEQUELAE": (
            "GENESEN MIT FOLGEN|GENESEN MIT FOLGESCHADEN|WIEDERHERGESTELLT MIT FOLGESCHADEN|"
            "GUERI AVEC SEQUELLES|RETABLI AVEC SEQUELLES|RECUPERADO CON SECUELAS|"
            "RESUELTO CON SECUELAS|GUARITO CON POSTUMI|RISOLTO CON POSTUMI|"
            "RISOLTO CON SEQUELE|RECUPERADO COM SEQUELAS|RESOLVIDO COM SEQUELAS|"
            "HERSTELD MET RESTVERSCHIJNSELEN"
        ),
        "RECOVERING": (
            "IN GENESUNG|EN COURS DE GUERISON|EN COURS DE RETABLISSEMENT|EN VOIE DE GUERISON|"
            "EN RECUPERACION|IN VIA DI GUARIGIONE|IN VIA DI RISOLUZIONE|EM RECUPERACAO|"
            "HERSTELLEND"
        ),
        "NOT RECOVERED": (
            "NICHT GENESEN|NICHT WIEDERHERGESTELLT|NON GUERI|NON RETABLI|NON RESOLU|"
            "NO RECUPERADO|NO RESUELTO|NON GUARITO|NON RISOLTO|NAO RECUPERADO|NAO RESOLVIDO|"
            "NIET HERSTELD"
        ),
        "ONGOING": "ANDAUERND|FORTBESTEHEND|EN COURS|EN CURSO|IN CORSO|EM CURSO|VOORTDUREND",
    }
)
FLAGS = _by_word(
    {
        "LOW": "NIEDRIG|ERNIEDRIGT|BAS|BASSE|BAJO|BAJA|BASSO|BASSA|BAIXO|BAIXA|LAAG|VERLAAGD",
        "HIGH": "HOCH|ERHOHT|ERHOEHT|ELEVE|ELEVEE|ALTO|ALTA|ELEVADO|ELEVADA|HOOG|VERHOOGD",
        "NORMAL": "NORMALE|NORMAAL|UNAUFFALLIG",
        "ABNORMAL": "AUFFALLIG|PATHOLOGISCH|ANORMAL|ANORMALE|ANORMALO|ABNORMAAL",
    }
)
#: "Dead", "died", "fatal" in German, French, Spanish, Italian, Portuguese and Dutch, without accents: they
#: count where they are all that is said.
DEATH_ELSEWHERE = frozenset(
    {
        *("TODLICH", "TOEDLICH", "TOD", "VERSTORBEN", "GESTORBEN", "LETAL", "TODESFALL", "TODLICHER AUSGANG"),
        *("DECES", "DECEDE", "DECEDEE", "MORT", "MORTE", "MORTEL", "MORTELLE", "FATALE", "ISSUE FATALE"),
        *("MUERTE", "MUERTO", "MUERTA", "FALLECIDO", "FALLECIDA", "FALLECIMIENTO", "DEFUNCION", "MORTAL"),
        *("DECESSO", "DECEDUTO", "DECEDUTA", "MORTO", "MORTA", "MORTALE", "ESITO FATALE"),
        *("OBITO", "FALECIDO", "FALECIDA", "FALECIMENTO"),
        *("OVERLEDEN", "OVERLIJDEN", "FATAAL", "DODELIJK"),
    }
)
#: Those that mean nothing else in English: a longer text with one is told and left to a person.
NAMES_A_DEATH_ELSEWHERE = re.compile(
    r"\b(?:TODLICH|TOEDLICH|VERSTORBEN|VERSTARB|GESTORBEN|TOD|TODES\w*|DECES|DECEDEE?|MORTE?|MORTEL(?:LE)?|"
    r"MUERT[EOA]|MURIO|MORTO|MORREU|FALLECID[OA]|"
    r"FALLECIMIENTO|DEFUNCION|DECESSO|DECEDUT[OA]|OBITO|FALECID[OA]|FALECIMENTO|OVERLEDEN|OVERLIJDEN|"
    r"DODELIJK)\b"
)
