"""Coded values in German, French, Spanish, Italian, Portuguese, Dutch, Chinese, Japanese, Korean, Russian
and Polish, by their English word; yes and no, and death, in some more.

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


def _plain(said: str) -> frozenset[str]:
    """Words, separated by |, as they are compared: letters of Korean fall apart, Japanese loses marks."""
    return frozenset(map(without_accents, said.split("|")))


def _by_word(words: Mapping[str, str]) -> Mapping[str, str]:
    """Each of the words, which are separated by |, to what it stands for."""
    return {word: meaning for meaning, said in words.items() for word in _plain(said)}


#: Also Czech, Hungarian, Turkish, Greek, Arabic and the languages of Scandinavia.
YES_ELSEWHERE = _plain("✓|✔|☑|JA|OUI|SI|SIM|TAK|ANO|IGEN|EVET|ДА|ТАК|ΝΑΙ|نعم|是|はい|예|네")
NO_ELSEWHERE = _plain("☐|NEIN|NON|NAO|NEE|NIE|NEJ|NEI|NEM|HAYIR|НЕТ|НІ|ΟΧΙ|لا|否|いいえ|아니오|아니요")
NOT_KNOWN = (
    *_plain("不明|未知|不详|不詳|알 수 없음|НЕИЗВЕСТНО|НЕИЗВЕСТЕН|NIEZNANE|NIEZNANY|غير معروف"),
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
        "MILD": (
            "轻度|軽度|轻|경증|ЛЕГКАЯ|ŁAGODNY|ŁAGODNA|ŁAGODNE|ЛЕГКОЕ|ЛЕГКАЯ СТЕПЕНЬ|ЛЕГКОЙ СТЕПЕНИ|LEICHT|"
            "LEICHTGRADIG|LEGER|LEGERE|LEVE|LIEVE|LIGEIRO|LIGEIRA|LICHT"
        ),
        "MODERATE": (
            "中度|中等度|중등증|СРЕДНЯЯ|УМЕРЕННАЯ|UMIARKOWANY|UMIARKOWANA|UMIARKOWANE|УМЕРЕННОЕ|"
            "СРЕДНЕЙ ТЯЖЕСТИ|СРЕДНЕЙ СТЕПЕНИ|СРЕДНЕЙ СТЕПЕНИ ТЯЖЕСТИ|"
            "MASSIG|MAESSIG|MITTEL|MITTELSCHWER|MITTELGRADIG|MODERAT|"
            "MODERE|MODEREE|MODERADO|MODERADA|MODERATO|"
            "MODERATA|MATIG"
        ),
        "SEVERE": (
            "重度|高度|重症|중증|ТЯЖЕЛАЯ|ТЯЖЕЛОЕ|ТЯЖЕЛАЯ СТЕПЕНЬ|ТЯЖЕЛОЙ СТЕПЕНИ|CIEZKI|CIEZKA|CIEZKIE|"
            "SCHWER|SCHWERGRADIG|SEVERE|SEVERO|SEVERA"
        ),
        "LIFE THREATENING": (
            "危及生命|生命を脅かす|УГРОЖАЮЩАЯ ЖИЗНИ|УГРОЖАЮЩЕЕ ЖИЗНИ|ZAGRAZAJACY ZYCIU|ZAGRAZAJACE ZYCIU|"
            "LEBENSBEDROHLICH|LEBENSBEDROHEND|MENACANT LE PRONOSTIC VITAL|"
            "METTANT EN JEU LE PRONOSTIC VITAL|POTENCIALMENTE MORTAL|AMENAZANTE PARA LA VIDA|"
            "PERICOLOSO PER LA VITA|PERICOLOSA PER LA VITA|COM RISCO DE VIDA|"
            "LEVENSBEDREIGEND"
        ),
        "FATAL": "死亡|사망|СМЕРТЬ|ZGON|TODLICH|TOEDLICH|MORTEL|MORTELLE|FATALE|FATAAL|DODELIJK",
    }
)
SERIOUSNESS = _by_word(
    {
        "SERIOUS": "严重|重篤|СЕРЬЕЗНОЕ|CIEZKIE|POWAZNE|SCHWERWIEGEND|GRAVE|ERNSTIG|SERIO",
        "NOT SERIOUS": (
            "非严重|不严重|非重篤|重篤でない|НЕСЕРЬЕЗНОЕ|НЕ СЕРЬЕЗНОЕ|NIECIEZKIE|NIEPOWAZNE|"
            "NICHT SCHWERWIEGEND|"
            "NON GRAVE|NO GRAVE|NAO GRAVE|NIET ERNSTIG|NON SERIO"
        ),
    }
)
OUTCOMES = _by_word(
    {
        "RECOVERED": (
            "痊愈|恢复|已恢复|回復|회복|회복됨|ВЫЗДОРОВЛЕНИЕ|"
            "GENESEN|WIEDERHERGESTELLT|GUERI|GUERIE|RETABLI|RETABLIE|RESOLU|RESOLUE|"
            "RECUPERADO|RECUPERADA|RESUELTO|RESUELTA|GUARITO|GUARITA|RISOLTO|RISOLTA|"
            "RESOLVIDO|RESOLVIDA|HERSTELD"
        ),
        "RECOVERED WITH SEQUELAE": (
            "痊愈伴后遗症|恢复伴后遗症|回復したが後遺症あり|ВЫЗДОРОВЛЕНИЕ С ПОСЛЕДСТВИЯМИ|"
            "GENESEN MIT FOLGEN|GENESEN MIT FOLGESCHADEN|WIEDERHERGESTELLT MIT FOLGESCHADEN|"
            "GUERI AVEC SEQUELLES|RETABLI AVEC SEQUELLES|RECUPERADO CON SECUELAS|"
            "RESUELTO CON SECUELAS|GUARITO CON POSTUMI|RISOLTO CON POSTUMI|"
            "RISOLTO CON SEQUELE|RECUPERADO COM SEQUELAS|RESOLVIDO COM SEQUELAS|"
            "HERSTELD MET RESTVERSCHIJNSELEN"
        ),
        "RECOVERING": (
            "好转|軽快|회복중|회복 중|УЛУЧШЕНИЕ|"
            "IN GENESUNG|EN COURS DE GUERISON|EN COURS DE RETABLISSEMENT|EN VOIE DE GUERISON|"
            "EN RECUPERACION|IN VIA DI GUARIGIONE|IN VIA DI RISOLUZIONE|EM RECUPERACAO|"
            "HERSTELLEND"
        ),
        "NOT RECOVERED": (
            "未痊愈|未恢复|未好转|未回復|미회복|회복되지 않음|"
            "NICHT GENESEN|NICHT WIEDERHERGESTELLT|NON GUERI|NON RETABLI|NON RESOLU|"
            "NO RECUPERADO|NO RESUELTO|NON GUARITO|NON RISOLTO|NAO RECUPERADO|NAO RESOLVIDO|"
            "NIET HERSTELD"
        ),
        "ONGOING": (
            "持续|持続|지속|ПРОДОЛЖАЕТСЯ|ANDAUERND|"
            "FORTBESTEHEND|EN COURS|EN CURSO|IN CORSO|EM CURSO|VOORTDUREND"
        ),
    }
)
FLAGS = _by_word(
    {
        "LOW": (
            "低|偏低|低値|НИЖЕ НОРМЫ|NIEDRIG|ERNIEDRIGT|BAS|BASSE|"
            "BAJO|BAJA|BASSO|BASSA|BAIXO|BAIXA|LAAG|VERLAAGD"
        ),
        "HIGH": (
            "高|偏高|高値|ВЫШЕ НОРМЫ|HOCH|ERHOHT|ERHOEHT|ELEVE|ELEVEE|ALTO|ALTA|ELEVADO|ELEVADA|HOOG|VERHOOGD"
        ),
        "NORMAL": "正常|정상|НОРМА|NORMALE|NORMAAL|UNAUFFALLIG",
        "ABNORMAL": "异常|異常|비정상|AUFFALLIG|PATHOLOGISCH|ANORMAL|ANORMALE|ANORMALO|ABNORMAAL",
    }
)
#: "Dead", "died", "fatal", "sudden death" in these languages and some more, without accents: they count where
#: they are all that is said.
DEATH_ELSEWHERE = frozenset(
    {
        *("TODLICH", "TOEDLICH", "TOD", "VERSTORBEN", "GESTORBEN", "LETAL", "TODESFALL", "TODLICHER AUSGANG"),
        *("DECES", "DECEDE", "DECEDEE", "MORT", "MORTE", "MORTEL", "MORTELLE", "FATALE", "ISSUE FATALE"),
        *("MUERTE", "MUERTO", "MUERTA", "FALLECIDO", "FALLECIDA", "FALLECIMIENTO", "DEFUNCION", "MORTAL"),
        *("DECESSO", "DECEDUTO", "DECEDUTA", "MORTO", "MORTA", "MORTALE", "ESITO FATALE"),
        *("OBITO", "FALECIDO", "FALECIDA", "FALECIMENTO"),
        *("OVERLEDEN", "OVERLIJDEN", "FATAAL", "DODELIJK"),
        *_plain(
            "死亡|猝死|突然死|心源性猝死|心臓突然死|死亡の転帰|사망|"
            "돌연사|ZGON|ZMARŁ|ZMARŁA|SMIERC|UMRTI|ZEMREL|ZEMRELA"
        ),
        *_plain(
            "СМЕРТЬ|ВНЕЗАПНАЯ СМЕРТЬ|УМЕР|УМЕРЛА|ЛЕТАЛЬНЫЙ ИСХОД|СМЕРТЕЛЬНЫЙ ИСХОД|ПОМЕР|ПОМЕРЛА|وفاة|متوفى"
        ),
        *_plain("AVLIDEN|DØD|DØDSFALL|DØDSFALD|KUOLEMA|KUOLLUT|HALAL|HALALOZAS|ELHUNYT|OLUM|ΘΑΝΑΤΟΣ"),
    }
)
#: Those that mean nothing else in English: a longer text with one is told and left to a person.
NAMES_A_DEATH_ELSEWHERE = re.compile(
    r"\b(?:TODLICH|TOEDLICH|VERSTORBEN|VERSTARB|GESTORBEN|TOD|TODES\w*|DECES|DECEDEE?|MORTE?|MORTEL(?:LE)?|"
    r"\w+TOD|SUIZID|MORS|MUERT[EOA]|MURIO|FALLECIO|FALECEU|MORTO|MORREU|FALLECID[OA]|"
    r"FALLECIMIENTO|DEFUNCION|DECESSO|DECEDUT[OA]|OBITO|FALECID[OA]|FALECIMENTO|OVERLEDEN|OVERLIJDEN|"
    r"DODELIJK|ZGON|ZMARŁA?|SMIERC|УМЕР(?:ЛА)?|СМЕРТЬ?|(?<!НЕ)ЛЕТАЛЬН\w*|СМЕРТЕЛЬН\w*|AVLIDEN|DØDSFAL[LD])\b"
    r"|死亡|猝死|突然死|وفاة|" + without_accents("사망|돌연사")
)
