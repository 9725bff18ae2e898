#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that each check can fail, and passes what is right."""

import unittest

import check_includes
import check_reference
import check_sizes
import check_text
import sources

LAYERS = check_includes.parse_layers(
    "core/base:\ncore/config: core/base include/postrider\nadapters/*: include/postrider adapters/common\n"
    "core: *\n<yaml.h>: core/config\n<curl/*>: adapters/webhook\n")
FILES = {"core/base/buf.h", "core/config/settings.h", "include/postrider/options.h",
         "adapters/common/headers.h", "adapters/kafka/kafka.h", "adapters/stdout/batch.h"}


def includes(path, line):
    return check_includes.check_text(path, line + "\n", LAYERS, FILES.__contains__)


class Includes(unittest.TestCase):
    def test_arrows(self):
        self.assertEqual(includes("core/config/x.c", '#include "base/buf.h"'), [])
        self.assertEqual(includes("core/config/x.c", '#include "settings.h"'), [])
        self.assertEqual(includes("core/config/x.c", '#include "postrider/version.h"'), [])
        self.assertEqual(includes("core/main.c", '#include "config/settings.h"'), [])
        self.assertEqual(includes("adapters/kafka/x.c", '#include "common/headers.h"'), [])
        self.assertEqual(includes("core/base/x.c", '#include "config/settings.h"'),
                         ['core/base/x.c:1: core/base must not include core/config '
                          '("config/settings.h")'])
        self.assertEqual(len(includes("adapters/kafka/x.c", '#include "base/buf.h"')), 1)
        self.assertEqual(len(includes("adapters/kafka/x.c", '#include "stdout/batch.h"')), 1)
        self.assertEqual(len(includes("core/new/x.c", '#include "base/buf.h"')), 1)
        self.assertEqual(len(includes("core/base/x.c", '#include "nothing.h"')), 1)

    def test_homes(self):
        self.assertEqual(includes("core/config/x.c", "#include <yaml.h>"), [])
        self.assertEqual(includes("core/base/x.c", "#include <sys/epoll.h>"), [])
        self.assertEqual(includes("core/base/x.c", "#include <yaml.h>"),
                         ["core/base/x.c:1: <yaml.h> belongs to core/config"])
        self.assertEqual(len(includes("core/base/x.c", "#include <curl/curl.h>")), 1)
        self.assertEqual(includes("core/base/x.c", "#include <zlib.h>"),
                         ["core/base/x.c:1: <zlib.h> has no home in layers.txt"])
        self.assertEqual(includes("core/base/x.c", "/* #include <zlib.h> */"), [])


def function(n_lines, line="    x();"):
    return "static int f(int a,\n             int b)\n{\n" + (line + "\n") * n_lines + "}\n"


class Sizes(unittest.TestCase):
    def test_length(self):
        self.assertEqual(check_sizes.check_text("core/a.c", function(58)), [])
        self.assertEqual(check_sizes.check_text("core/a.c", function(59)),
                         ["core/a.c:3: function f has 61 lines, at most 60"])

    def test_complexity(self):
        self.assertEqual(check_sizes.check_text("core/a.c", function(7, "    if (a && b) {}")), [])
        self.assertEqual(check_sizes.check_text("core/a.c", function(15, "    a = b ? c : d;")),
                         ["core/a.c:3: function f has complexity 16, at most 15"])
        quiet = '    /* if while for && */ puts("if && ?");'
        self.assertEqual(check_sizes.check_text("core/a.c", function(20, quiet)), [])

    def test_files_and_tables(self):
        self.assertEqual(check_sizes.check_text("core/a.c", "x;\n" * 600), [])
        self.assertEqual(len(check_sizes.check_text("core/a.c", "x;\n" * 601)), 1)
        self.assertEqual(len(check_sizes.check_text("core/a.h", "x;\n" * 301)), 1)
        inner = function(80).replace("{\n", "{\n    static const int t[] = {\n").replace(
            "\n}\n", "\n    };\n    y();\n}\n")
        self.assertEqual(check_sizes.check_text("core/a.c", inner), [])
        table = "static const int t[] =\n{\n" + "    1,\n" * 100 + "};\n"
        self.assertEqual(check_sizes.check_text("core/a.c", table), [])

    def test_names(self):
        text = "ATTR(3, 0)\nstatic int put(int a)\n{\n}\n"
        self.assertEqual([f[0] for f in sources.functions(text)], ["put"])


class Text(unittest.TestCase):
    def test_banned(self):
        banned = check_text.parse_banned("# x\nstrcpy   memcpy\n")
        self.assertEqual(check_text.check_c("a.c", "\n  strcpy(a, b);\n", banned),
                         ["a.c:2: strcpy() is banned; use memcpy"])
        for fine in ("my_strcpy(a)", "/* strcpy(a) */", '"strcpy(a)"', "vt->strcpy(a)", "strcpyx(a)"):
            self.assertEqual(check_text.check_c("a.c", fine, banned), [])

    def test_markers_and_names(self):
        for bad in ("TO" + "DO: x", "/* FIX" + "ME */", "cd /wo" + "rk/main", "/ho" + "me/me/x",
                    "pip --index" + "-url x", "https://nex" + "us.example.com/x"):
            self.assertEqual(len(check_text.check_any("a.md", bad)), 1, bad)
        for fine in ("mastodon", "/var/lib/postrider", "https://example.com/mirrors", "a/home/b",
                     "${x}/ro" + "ot/y"):
            self.assertEqual(check_text.check_any("a.md", fine), [], fine)

    def test_licence(self):
        line = check_text.SPDX
        self.assertEqual(check_text.check_licence("a.c", f"/* {line} */\n"), [])
        self.assertEqual(check_text.check_licence("a.sh", f"#!/bin/sh\n# {line}\n"), [])
        self.assertEqual(check_text.check_licence("a.md", "x\n"), [])
        self.assertEqual(len(check_text.check_licence("a.c", "x\n")), 1)
        self.assertEqual(len(check_text.check_licence("x/CMakeLists.txt", "x\n")), 1)


class Reference(unittest.TestCase):
    def test_drift(self):
        self.assertEqual(check_reference.compare("a.md", "x\ny\n", "x\ny\n"), [])
        self.assertIn("-y", check_reference.compare("a.md", "x\ny\n", "x\nz\n"))
        self.assertIn("+x", check_reference.compare("a.md", None, "x\n"))


if __name__ == "__main__":
    unittest.main()
