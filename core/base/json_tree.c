/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree.c - a JSON text as a tree, read strictly.
 *
 * Recursive descent, as deep as JSON_TREE_MAX_DEPTH allows. A node hangs in its parent
 * before its value is read, so that a mistake's pointer is that node's. Nodes come
 * from chunks; decoded texts share one buffer that is as long as the source, which
 * suffices: a text loses its quotes and gains a NUL, a number is followed by another
 * character or the end.
 *
 * Not here: what the values mean.
 */
#include "base/json_tree.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 128

struct chunk {
    struct chunk *next;
    size_t used;
    struct json_node nodes[CHUNK];
};

struct json_tree {
    struct chunk *chunks;
    char *strings;
    struct json_node *root;
};

struct parser {
    struct json_tree *tree;
    const char *at, *end;
    char *out;              /* where the next decoded text goes */
    struct json_node *node; /* being read */
    size_t depth, n_values;
    struct json_fault *fault;
};

void json_tree_destroy(struct json_tree *tree)
{
    if (tree == NULL) {
        return;
    }
    while (tree->chunks != NULL) {
        struct chunk *next = tree->chunks->next;
        free(tree->chunks);
        tree->chunks = next;
    }
    free(tree->strings);
    free(tree);
}

struct json_node *json_tree_root(const struct json_tree *tree)
{
    return tree->root;
}

static bool fail(struct parser *p, const char *code, const char *detail)
{
    p->fault->code = code;
    p->fault->detail = detail;
    if (p->node == NULL) {
        p->fault->pointer[0] = '\0';
    } else {
        json_node_pointer(p->node, p->fault->pointer);
    }
    return false;
}

static bool fail_json(struct parser *p, const char *detail)
{
    return fail(p, "invalid-json", detail);
}

static bool fail_memory(struct parser *p)
{
    return fail(p, NULL, "out of memory");
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end &&
           (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')) {
        p->at++;
    }
}

static bool take(struct parser *p, char c)
{
    if (p->at < p->end && *p->at == c) {
        p->at++;
        return true;
    }
    return false;
}

static struct json_node *add_node(struct parser *p, struct json_node *parent,
                                  struct json_node **last)
{
    struct chunk *chunk = p->tree->chunks;

    if (++p->n_values > JSON_TREE_MAX_VALUES) {
        (void)fail(p, "too-many-values", "the document holds more than 65536 values");
        return NULL;
    }
    if (chunk == NULL || chunk->used == CHUNK) {
        chunk = malloc(sizeof(*chunk));
        if (chunk == NULL) {
            (void)fail_memory(p);
            return NULL;
        }
        chunk->next = p->tree->chunks;
        chunk->used = 0;
        p->tree->chunks = chunk;
    }
    struct json_node *node = &chunk->nodes[chunk->used++];
    *node = (struct json_node){.parent = parent};
    if (parent != NULL) {
        *(*last == NULL ? &parent->first : &(*last)->next) = node;
        *last = node;
        parent->n++;
    }
    return node;
}

/* ---- texts and numbers --------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hex digits; -1: there are none. */
static int32_t take_hex(struct parser *p)
{
    int32_t value = 0;

    if (p->end - p->at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p->at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    p->at += 4;
    return value;
}

static void put_utf8(struct parser *p, uint32_t c)
{
    if (c < 0x80) {
        *p->out++ = (char)c;
    } else if (c < 0x800) {
        *p->out++ = (char)(0xc0 | c >> 6);
        *p->out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *p->out++ = (char)(0xe0 | c >> 12);
        *p->out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *p->out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *p->out++ = (char)(0xf0 | c >> 18);
        *p->out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *p->out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *p->out++ = (char)(0x80 | (c & 0x3f));
    }
}

static bool read_unicode_escape(struct parser *p)
{
    int32_t c = take_hex(p);

    if (c < 0) {
        return fail_json(p, "\\u wants four hex digits");
    }
    if (c == 0) {
        return fail_json(p, "a text cannot hold the character NUL");
    }
    if (c >= 0xd800 && c <= 0xdfff) {
        if (c > 0xdbff || p->end - p->at < 6 || p->at[0] != '\\' || p->at[1] != 'u') {
            return fail_json(p, "half of a surrogate pair");
        }
        p->at += 2;
        int32_t low = take_hex(p);
        if (low < 0xdc00 || low > 0xdfff) {
            return fail_json(p, "half of a surrogate pair");
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(p, (uint32_t)c);
    return true;
}

static bool read_escape(struct parser *p)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";

    if (p->at == p->end) {
        return fail_json(p, "a text does not end");
    }
    char c = *p->at++;
    if (c == 'u') {
        return read_unicode_escape(p);
    }
    const char *letter = c == '\0' ? NULL : strchr(letters, c);
    if (letter == NULL) {
        return fail_json(p, "a text has an unknown escape");
    }
    *p->out++ = values[letter - letters];
    return true;
}

static bool read_character(struct parser *p)
{
    if ((unsigned char)*p->at < 0x20) {
        return fail_json(p, "a text has a raw control character");
    }
    size_t n = utf8_sequence(p->at, (size_t)(p->end - p->at));
    if (n == 0) {
        return fail(p, "invalid-utf8", "the document is not UTF-8");
    }
    memcpy(p->out, p->at, n);
    p->out += n;
    p->at += n;
    return true;
}

/* `p->at` is behind the opening quote. */
static bool read_text(struct parser *p, const char **ret, size_t *ret_len)
{
    const char *begin = p->out;

    while (p->at < p->end && *p->at != '"') {
        if (*p->at == '\\') {
            p->at++;
            if (!read_escape(p)) {
                return false;
            }
        } else if (!read_character(p)) {
            return false;
        }
    }
    if (!take(p, '"')) {
        return fail_json(p, "a text does not end");
    }
    *ret = begin;
    *ret_len = (size_t)(p->out - begin);
    *p->out++ = '\0';
    return true;
}

static bool take_digits(struct parser *p)
{
    const char *begin = p->at;

    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
        p->at++;
    }
    return p->at > begin;
}

static bool skip_number(struct parser *p)
{
    (void)take(p, '-');
    if (!take(p, '0') && !take_digits(p)) {
        return false;
    }
    if (take(p, '.') && !take_digits(p)) {
        return false;
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (!take(p, '-')) {
            (void)take(p, '+');
        }
        return take_digits(p);
    }
    return true;
}

static bool read_number(struct parser *p, struct json_node *node)
{
    const char *begin = p->at;

    if (!skip_number(p)) {
        return fail_json(p, "not a value of JSON");
    }
    node->kind = JSON_NODE_NUMBER;
    node->len = (size_t)(p->at - begin);
    node->text = p->out;
    memcpy(p->out, begin, node->len);
    p->out += node->len;
    *p->out++ = '\0';
    return true;
}

static bool read_word(struct parser *p, struct json_node *node)
{
    static const struct {
        const char *word;
        enum json_node_kind kind;
    } words[] = {
        {"null", JSON_NODE_NULL}, {"true", JSON_NODE_TRUE}, {"false", JSON_NODE_FALSE}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i].word);
        if ((size_t)(p->end - p->at) >= len && memcmp(p->at, words[i].word, len) == 0) {
            p->at += len;
            node->kind = words[i].kind;
            return true;
        }
    }
    return fail_json(p, "not a value of JSON");
}

/* ---- arrays and objects -------------------------------------------------------- */

static bool read_value(struct parser *p, struct json_node *node);

static bool read_array(struct parser *p, struct json_node *node)
{
    struct json_node *last = NULL;

    node->kind = JSON_NODE_ARRAY;
    skip_space(p);
    if (take(p, ']')) {
        return true;
    }
    do {
        struct json_node *item = add_node(p, node, &last);
        if (item == NULL || !read_value(p, item)) {
            return false;
        }
        p->node = node;
        skip_space(p);
    } while (take(p, ','));
    return take(p, ']') || fail_json(p, "expected \",\" or \"]\"");
}

static int compare_keys(const void *a, const void *b)
{
    const struct json_node *const *x = a;
    const struct json_node *const *y = b;

    return strcmp((*x)->key, (*y)->key);
}

static bool check_keys(struct parser *p, struct json_node *object)
{
    size_t n = 0;

    if (object->n < 2) {
        return true;
    }
    struct json_node **sorted = malloc(object->n * sizeof(struct json_node *));
    if (sorted == NULL) {
        return fail_memory(p);
    }
    for (struct json_node *m = object->first; m != NULL; m = m->next) {
        sorted[n++] = m;
    }
    qsort(sorted, n, sizeof(struct json_node *), compare_keys);
    bool fine = true;
    for (size_t i = 1; fine && i < n; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            p->node = sorted[i];
            fine = fail(p, "duplicate-key", "the object has this key twice");
        }
    }
    free(sorted);
    return fine;
}

static bool read_member(struct parser *p, struct json_node *object,
                        struct json_node **last)
{
    const char *key = NULL;
    size_t len = 0;

    skip_space(p);
    if (!take(p, '"')) {
        return fail_json(p, "expected a key in quotes");
    }
    if (!read_text(p, &key, &len)) {
        return false;
    }
    skip_space(p);
    if (!take(p, ':')) {
        return fail_json(p, "expected \":\" after a key");
    }
    struct json_node *member = add_node(p, object, last);
    if (member == NULL) {
        return false;
    }
    member->key = key;
    return read_value(p, member);
}

static bool read_object(struct parser *p, struct json_node *node)
{
    struct json_node *last = NULL;

    node->kind = JSON_NODE_OBJECT;
    skip_space(p);
    if (take(p, '}')) {
        return true;
    }
    do {
        if (!read_member(p, node, &last)) {
            return false;
        }
        p->node = node;
        skip_space(p);
    } while (take(p, ','));
    if (!take(p, '}')) {
        return fail_json(p, "expected \",\" or \"}\"");
    }
    return check_keys(p, node);
}

static bool read_nested(struct parser *p, struct json_node *node)
{
    if (++p->depth > JSON_TREE_MAX_DEPTH) {
        return fail(p, "too-deep", "arrays and objects are nested more than 32 deep");
    }
    bool fine = *p->at++ == '[' ? read_array(p, node) : read_object(p, node);
    p->depth--;
    return fine;
}

static bool read_value(struct parser *p, struct json_node *node)
{
    bool fine;

    p->node = node;
    skip_space(p);
    const char *begin = p->at;
    char c = '\0';
    if (p->at < p->end) {
        c = *p->at;
    }
    if (c == '{' || c == '[') {
        fine = read_nested(p, node);
    } else if (c == '"') {
        p->at++;
        node->kind = JSON_NODE_TEXT;
        fine = read_text(p, &node->text, &node->len);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        fine = read_number(p, node);
    } else {
        fine = read_word(p, node);
    }
    node->raw = begin;
    node->raw_len = (size_t)(p->at - begin);
    return fine;
}

static bool read_document(struct parser *p)
{
    struct json_node *root = add_node(p, NULL, NULL);

    if (root == NULL || !read_value(p, root)) {
        return false;
    }
    p->tree->root = root;
    p->node = NULL;
    skip_space(p);
    return p->at == p->end || fail_json(p, "there is something behind the document");
}

int json_tree_parse(const char *text, size_t len, struct json_tree **ret,
                    struct json_fault *fault)
{
    struct json_tree *tree = calloc(1, sizeof(*tree));
    struct parser p = {.tree = tree, .at = text, .end = text + len, .fault = fault};

    *fault = (struct json_fault){.code = NULL};
    if (tree != NULL) {
        tree->strings = malloc(len + 2);
        p.out = tree->strings;
    }
    if (p.out == NULL) {
        json_tree_destroy(tree);
        return RIDER_E_NOMEM;
    }
    if (!read_document(&p)) {
        json_tree_destroy(tree);
        return fault->code == NULL ? RIDER_E_NOMEM : RIDER_E_CONFIG;
    }
    *ret = tree;
    return 0;
}
