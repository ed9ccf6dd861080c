"""Asks the real oslo.config what it makes of the cases below and writes oracle.json.

Run it with a Python that has oslo.config: python3 oracle.py > oracle.json
Each case: reason, files, and the options to read as [kind, group, name]. An answer is {"value": ...} or {"error": true}.
"""
import json
import os
import tempfile

from oslo_config import cfg

KINDS = {"str": cfg.StrOpt, "multi": cfg.MultiStrOpt, "bool": cfg.BoolOpt, "int": cfg.IntOpt, "float": cfg.FloatOpt,
         "list": cfg.ListOpt}

D = "DEFAULT"
CASES = [
    ("equal sign and colon, whichever comes first", ["[DEFAULT]\na = x:y\nb: x=y\nc=\nd:\n"],
     [["str", D, n] for n in "abcd"]),
    ("white space around keys and values", ["[DEFAULT]\na   =   b c\t\nd=\t e\n"], [["str", D, "a"], ["str", D, "d"]]),
    ("quotes go in equal pairs only, and only one pair",
     ["[DEFAULT]\na='x'\nb=\"x'\nc=\"\nd=''x''\ne='a' 'b'\nf = ' x '\n"], [["str", D, n] for n in "abcdef"]),
    ("continuation lines join with newlines", ["[DEFAULT]\na = one\n  two\n\tthree\nb = x\n"],
     [["str", D, "a"], ["str", D, "b"]]),
    ("a value may start on the second line", ["[DEFAULT]\na =\n  one\n  two\n"], [["str", D, "a"]]),
    ("an indented comment continues the value", ["[DEFAULT]\na = one\n  # two\n"], [["str", D, "a"]]),
    ("comments are whole lines only", ["# x\n[DEFAULT]\n;a=1\n#a=2\na = 3 # three ; x\n"], [["str", D, "a"]]),
    ("a blank line ends a value", ["[DEFAULT]\na = one\n\n  two\n"], [["str", D, "a"]]),
    ("a comment ends a value", ["[DEFAULT]\na = one\n# c\n  two\n"], [["str", D, "a"]]),
    ("a line of white space is blank", ["[DEFAULT]\na = one\n   \nb = 2\n"], [["str", D, "a"], ["str", D, "b"]]),
    ("repeated: last wins, multi keeps all", ["[DEFAULT]\na=1\na=2\n[x]\nb=1\n[DEFAULT]\na=3\n"],
     [["str", D, "a"], ["multi", D, "a"]]),
    ("several files: later wins, multi keeps all in order", ["[DEFAULT]\na=1\na=2\nb=1\n", "[DEFAULT]\na=3\na=4\n"],
     [["str", D, "a"], ["multi", D, "a"], ["str", D, "b"]]),
    ("group names ignore case", ["[Api]\na=1\n[API]\nb=2\n"], [["str", "api", "a"], ["str", "api", "b"]]),
    ("but not DEFAULT", ["[default]\na=1\n"], [["str", D, "a"]]),
    ("option names are case sensitive", ["[DEFAULT]\nKey=1\n"], [["str", D, "key"]]),
    ("dashes are not underscores", ["[DEFAULT]\nfoo-bar=1\n"], [["str", D, "foo_bar"]]),
    ("space inside section brackets counts", ["[ api ]\na=1\n"], [["str", "api", "a"]]),
    ("line ends of other systems", ["[DEFAULT]\r\na=1\r\nb=2\rc=3\n"], [["str", D, n] for n in "abc"]),
    ("references", ["[DEFAULT]\na=A\nb=$a\nc=${a}b\nd=x$a/y\ne=$$a\nf=\\$a\ng=$\nh=${a\ni=$1\nj=${}\nk=$$$a\nl=$A\n"],
     [["str", D, n] for n in "abcdefghijk"]),
    ("names in references are case sensitive", ["[DEFAULT]\na=A\nl=$A\n"], [["str", D, "a"], ["str", D, "l"]]),
    ("references to other groups", ["[DEFAULT]\na=${x.b}-$x.b\nd=dd\n[x]\nb=q\nc=$b $d\n"],
     [["str", D, "a"], ["str", D, "d"], ["str", "x", "b"], ["str", "x", "c"]]),
    ("a group's own option comes before DEFAULT", ["[DEFAULT]\na=1\n[x]\na=2\nb=$a\n"],
     [["str", D, "a"], ["str", "x", "a"], ["str", "x", "b"]]),
    ("an unbraced name takes in dots", ["[DEFAULT]\na=1\nb=$a.com\n"], [["str", D, "a"], ["str", D, "b"]]),
    ("references are followed", ["[DEFAULT]\na=$b\nb=$c\nc=$$c\n"], [["str", D, n] for n in "abc"]),
    ("a reference to nothing is an error", ["[DEFAULT]\na=$nothing\n"], [["str", D, "a"]]),
    ("a circle is an error", ["[DEFAULT]\na=$b\nb=$a\n"], [["str", D, "a"], ["str", D, "b"]]),
    ("boolean words", ["[DEFAULT]\na=TRUE\nb=1\nc=On\nd=yes\ne=False\nf=0\ng=off\nh=No\ni=y\nj=\nk=2\n"],
     [["bool", D, n] for n in "abcdefghijk"]),
    ("whole numbers", ["[DEFAULT]\na=1\nb= +5\nc=-3\nd=1_000\ne=\nf=1.5\ng=0x10\nh=one\ni=007\nj=_1\nk=1__0\n"],
     [["int", D, n] for n in "abcdefghijk"]),
    ("numbers", ["[DEFAULT]\na=1\nb=1.5\nc=1e3\nd=\ne=x\nf=.5\ng=1_0.5\n"], [["float", D, n] for n in "abcdefg"]),
    ("lists", ["[DEFAULT]\na=x, y ,z\nb=\nc=,\nd=a,,b\ne=x,\nf='a,b'\ng = a,\n  b\n"], [["list", D, n] for n in "abcdefg"]),
    ("multi values are expanded", ["[DEFAULT]\na=1\nm=$a\nm=x$a\n"], [["str", D, "a"], ["multi", D, "m"]]),
    ("no section", ["a=1\n"], [["str", D, "a"]]),
    ("no equal sign", ["[DEFAULT]\na\n"], [["str", D, "a"]]),
    ("no key", ["[DEFAULT]\n= 1\n"], [["str", D, "a"]]),
    ("bad section header", ["[DEFAULT\na=1\n"], [["str", D, "a"]]),
    ("section header with a comment", ["[DEFAULT] # x\na=1\n"], [["str", D, "a"]]),
    ("empty section name", ["[]\na=1\n"], [["str", D, "a"]]),
    ("nothing to continue", ["[DEFAULT]\n  a=1\n"], [["str", D, "a"]]),
]


def answer(files, kind, group, name, asks):
    conf = cfg.ConfigOpts()
    for _, g, n in asks:  # references work only to registered options
        opt = KINDS[kind](n) if (g, n) == (group, name) else cfg.StrOpt(n)
        try:
            conf.register_opt(opt, group=None if g == D else g)
        except cfg.DuplicateOptError:
            pass
    try:
        conf([], default_config_files=files, default_config_dirs=[])
        return {"value": getattr(conf if group == D else getattr(conf, group), name)}
    except (Exception, RecursionError):
        return {"error": True}


def main():
    out = []
    with tempfile.TemporaryDirectory() as d:
        for reason, texts, asks in CASES:
            files = []
            for i, text in enumerate(texts):
                path = os.path.join(d, "%d-%d.conf" % (len(out), i))
                with open(path, "w", newline="") as f:
                    f.write(text)
                files.append(path)
            answers = [answer(files, k, g, n, asks) for k, g, n in asks]
            out.append({"reason": reason, "files": texts, "asks": asks, "answers": answers})
    print(json.dumps(out, indent=1))


main()
