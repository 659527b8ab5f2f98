/** Texts of Vault policies, read. What is said of Vault here was tried against the parser of 1.21. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VAULT_NAME, VAULT_PATH } from '../../src/label.ts'
import { policyText } from '../../src/vault-setup/policy-text.ts'
import { readPolicy } from '../../src/vault-setup/read-policy.ts'
import type { Rule } from '../../src/vault-setup/rules.ts'
import { isSameRule, ruleOf } from '../../src/vault-setup/rules.ts'
import type { WantedRole } from '../../src/vault-setup/wanted.ts'
import { wantedIn } from '../../src/vault-setup/wanted.ts'
import { policyFrom, transitKey } from '../policy/documents.ts'
import { OPTIONS } from './options.ts'

const DECRYPT = 'transit/decrypt/payments'
const CONFIG = 'transit/keys/payments/config'

const EXPRESSION = '$' + '{'
const block = (fields: string) => `path "${DECRYPT}" { ${fields} }`
const onlyRule = (fields: string) => {
  const rules = readPolicy(block(fields))
  expect(rules).toHaveLength(1)
  return rules?.[0]
}
const inJson = (fields: object) => JSON.stringify({ path: { [DECRYPT]: fields } })

describe('a text is understood', () => {
  it('rule by rule, in its order', () => {
    const text = 'path "a" { capabilities = ["read"] }\npath "b/*" { capabilities = ["list"] }'
    expect(readPolicy(text)).toEqual([ruleOf('a', ['read']), ruleOf('b/*', ['list'])])
  })

  it.each([
    ['nothing at all', ''],
    ['comments alone', '# nothing\n// nothing\n/* nothing */'],
    ['a comment that goes on behind a lone carriage return', '# a\rpath "b" { capabilities = ["read"] }'],
    ['a comment that goes on behind what JavaScript ends a line with', '# a\u2028path "b" { capabilities = ["read"] }'],
    ['an empty object', ' {} '],
    ['an object without paths', '{"path": {}}'],
  ])('as no rule: %s', (_what, text) => {
    expect(readPolicy(text)).toEqual([])
  })

  it.each([
    [
      'comments wherever they may be',
      '# a {\npath /* "b" { */ "a" { // c }\n capabilities /* * */ = ["read" # d\n ] }',
    ],
    [
      'comments of which one ends where another seems to begin',
      '/*/ path "b" {} /**/path "a" { capabilities = ["read"] }',
    ],
    ['lines of Windows', 'path "a" {\r\n  # comment\r\n  capabilities = ["read"]\r\n}\r\n'],
    ['no line at all', 'path "a"{capabilities=["read"]}'],
    ['quotes around the name of a field', 'path "a" { "capabilities" = ["read"] }'],
    ['commas between fields', 'path "a" { capabilities = ["read"], comment = "b", }'],
    ['a comma after the last of a list', 'path "a" { capabilities = ["read",] }'],
    ['a capability twice', 'path "a" { capabilities = ["read", "read"] }'],
    ['a slash before the path, which Vault drops', 'path "/a" { capabilities = ["read"] }'],
    ['an escaped letter', 'path "\\u0061" { capabilities = ["re\\u0061d"] }'],
    ['a comment in the block', 'path "a" { comment = "b" capabilities = ["read"] }'],
    ['JSON', '{"path": {"a": {"capabilities": ["read"]}}}'],
    ['JSON with a slash before the path', '{"path": {"/a": {"capabilities": ["read"], "comment": "b"}}}'],
  ])('the same with %s', (_what, text) => {
    expect(readPolicy(text)).toEqual([ruleOf('a', ['read'])])
  })

  it('and drops one slash before a path, no more: Vault does the same, and the rest fits nothing', () => {
    expect(readPolicy('path "//a" { capabilities = ["read"] }')).toEqual([ruleOf('/a', ['read'])])
  })

  it('with the capabilities sorted', () => {
    expect(onlyRule('capabilities = ["update", "create", "sudo"]')?.capabilities).toEqual(['create', 'sudo', 'update'])
  })

  it.each([
    ['deny', ['deny']],
    ['read', ['list', 'read']],
    ['write', ['create', 'delete', 'list', 'read', 'update']],
    ['sudo', ['create', 'delete', 'list', 'read', 'sudo', 'update']],
  ])('with policy = "%s", as it was written before there were capabilities', (shorthand, capabilities) => {
    expect(onlyRule(`policy = "${shorthand}"`)?.capabilities).toEqual(capabilities)
    expect(readPolicy(inJson({ policy: shorthand }))?.[0]?.capabilities).toEqual(capabilities)
  })

  it('with the shorthand and the capabilities added up', () => {
    expect(onlyRule('policy = "read" capabilities = ["update"]')?.capabilities).toEqual(['list', 'read', 'update'])
  })

  it.each(['capabilities = ["read", "deny", "update"]', 'capabilities = ["read"] policy = "deny"'])(
    'with a denial alone where there is one: %s',
    (fields) => {
      expect(onlyRule(fields)?.capabilities).toEqual(['deny'])
    },
  )

  it('with nothing, where no capability is given', () => {
    expect(onlyRule('')).toEqual(ruleOf(DECRYPT, []))
    expect(onlyRule('capabilities = []')).toEqual(ruleOf(DECRYPT, []))
  })

  it.each([
    ['an assignment', 'allowed_parameters = { a = [], "B" = ["x", 1, -5, true] }'],
    ['a block', 'allowed_parameters { a = [] B = ["x", 1, -5, true] }'],
  ])('with its parameters, in lower case, as %s', (_what, parameters) => {
    const { allowedParameters } = onlyRule(`capabilities = ["update"] ${parameters}`) ?? {}
    expect(allowedParameters).toEqual({ a: [], b: ['x', 1, -5, true] })
  })

  it('with no parameters, which for Vault is any, told from none being named', () => {
    expect(onlyRule('capabilities = ["update"] allowed_parameters = {}')?.allowedParameters).toEqual({})
    expect(onlyRule('capabilities = ["update"]')).not.toHaveProperty('allowedParameters')
  })

  it('with a parameter called __proto__, which is one of its own', () => {
    const { allowedParameters } = onlyRule('capabilities = ["update"] allowed_parameters = { "__proto__" = [] }') ?? {}
    expect(Object.keys(allowedParameters ?? {})).toEqual(['__proto__'])
  })

  it('with the names of further conditions, sorted, those included that Vault may come to have', () => {
    const fields =
      'required_parameters = ["a"] capabilities = ["update"] denied_parameters = { b = [] } max_wrapping_ttl = "1m" new_one = 1'
    expect(onlyRule(fields)?.conditions).toEqual([
      'denied_parameters',
      'max_wrapping_ttl',
      'new_one',
      'required_parameters',
    ])
  })
})

describe('a text is refused as a whole', () => {
  const GOOD = 'path "a" { capabilities = ["read"] }\n'

  it.each([
    ['a name of the policy', 'name = "mine"'],
    ['a word', 'paths'],
    ['another case', 'Path "a" { capabilities = ["read"] }'],
    ['quotes around path', '"path" "a" { capabilities = ["read"] }'],
    ['an assignment', 'path = { "b" { capabilities = ["read"] } }'],
    ['no quotes around the path', 'path b { capabilities = ["read"] }'],
    ['two paths of one block', 'path "b" "c" { capabilities = ["read"] }'],
    ['a block within a block', 'path "b" { path "c" { capabilities = ["read"] } }'],
    ['no block', 'path "b"'],
    ['a block that does not end', 'path "b" { capabilities = ["read"]'],
    ['a block that ends twice', 'path "b" { capabilities = ["read"] } }'],
    ['JSON behind it', '{"path": {"b": {"capabilities": ["read"]}}}'],
    ['a string that does not end', 'path "b { capabilities = ["read"] }'],
    ['a string of two lines', 'path "b\n" { capabilities = ["read"] }'],
    ['a comment that does not end', '/* path "b" { capabilities = ["read"] }'],
    ['half a comment', '/ path "b" { capabilities = ["read"] }'],
    ['a mark that is none', 'path "b" + { capabilities = ["read"] }'],
    ['a letter that is none', 'path "b" { capabilitïes = ["read"] }'],
    ['a null character', 'path "b" \u0000 { capabilities = ["read"] }'],
  ])('for %s, and with it the rules before it', (_what, text) => {
    expect(readPolicy(`${GOOD}${text}`)).toBeUndefined()
  })

  it.each([
    ['a field twice, of which Vault may take either', 'capabilities = ["read"] capabilities = ["update"]'],
    ['a field twice, once in quotes', 'capabilities = ["read"] "capabilities" = ["update"]'],
    ['a field without a value', 'capabilities ='],
    ['a field without a sign', 'capabilities ["read"]'],
    ['a value without a field', 'capabilities = ["read"] = 1'],
    ['a name of two words', 'capabilities = ["read"] a-b = 1'],
    ['a name with a dot', 'capabilities = ["read"] a.b = 1'],
    ['a name of two blocks', 'capabilities = ["read"] a "b" { c = 1 }'],
    ['a heredoc', 'policy = <<EOF\nwrite\nEOF\n'],
    ['one capability that is no list', 'capabilities = "read"'],
    ['a block of capabilities', 'capabilities = { read = true }'],
    ['a capability that is a number', 'capabilities = ["read", 1]'],
    ['a list without commas', 'capabilities = ["read" "update"]'],
    ['a list of commas', 'capabilities = ["read",,"update"]'],
    ['a list that does not end', 'capabilities = ["read"'],
    ['a list within a list', 'capabilities = ["read"] allowed_parameters = { a = [["b"]] }'],
    ['a block within a list', 'capabilities = ["read"] allowed_parameters = { a = [{ b = 1 }] }'],
    ['an expression', `capabilities = ["${EXPRESSION}read}"]`],
    [
      'the beginning of an expression, within which quotes do not count',
      `comment = "${EXPRESSION}" capabilities = ["read"] # "}"`,
    ],
    ['an escape that only HCL knows', 'capabilities = ["\\x72ead"]'],
    ['an escape at the end of a line', 'comment = "a\\\nb" capabilities = ["read"]'],
    ['a tab in a string', 'comment = "a\tb" capabilities = ["read"]'],
    ['an unknown shorthand', 'policy = "admin"'],
    ['no shorthand', 'policy = ""'],
    ['a shorthand of another case', 'policy = "Write"'],
    ['a shorthand that is a list', 'policy = ["write"]'],
    ['parameters that are a list', 'capabilities = ["update"] allowed_parameters = ["a"]'],
    ['a parameter without a list', 'capabilities = ["update"] allowed_parameters = { a = "b" }'],
    ['a parameter twice', 'capabilities = ["update"] allowed_parameters = { a = [], a = ["b"] }'],
    ['a parameter in two cases', 'capabilities = ["update"] allowed_parameters = { a = [], A = ["b"] }'],
    [
      'parameters twice, which HCL merges',
      'capabilities = ["update"] allowed_parameters { a = [] } allowed_parameters { b = [] }',
    ],
    ['half a number', 'capabilities = ["update"] a = 1.5'],
    ['a number in another base', 'capabilities = ["update"] a = 0x10'],
    ['a number that HCL takes for an octal one', 'capabilities = ["update"] a = 010'],
    ['a number beyond all counting', 'capabilities = ["update"] a = 1234567890123456'],
    ['a word for a value', 'capabilities = ["update"] a = null'],
    ['no capabilities, but something else', 'comment = "a"'],
  ])('for %s', (_what, fields) => {
    expect(readPolicy(block(fields))).toBeUndefined()
  })

  it.each([
    ['a policy that is more than a megabyte', `${GOOD}${'#'.repeat(1024 * 1024)}`],
    ['one string that long', `path "${'a'.repeat(20_000_000)}" {}`],
    ['blocks within blocks', block(`${'a {'.repeat(200_000)}`)],
    ['lists within lists', block(`a = ${'['.repeat(200_000)}`)],
    ['objects within objects', `${'{"path":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['one block more than any policy has', block(`capabilities = [] ${'a {'.repeat(16)}${'}'.repeat(16)}`)],
  ])('for %s, and the stack holds', (_what, text) => {
    expect(readPolicy(text)).toBeUndefined()
  })

  it.each([
    ['a list', '[]'],
    ['something before the paths', '{"name": "a", "path": {}}'],
    ['something behind the paths', '{"path": {}, "name": "a"}'],
    ['something else than paths', '{"name": {}}'],
    ['another case', '{"Path": {"a": {"capabilities": ["read"]}}}'],
    ['a list of paths', '{"path": [{"a": {"capabilities": ["read"]}}]}'],
    ['a path that is a list', '{"path": {"a": [{"capabilities": ["read"]}]}}'],
    ['a path that is a text', '{"path": {"a": "read"}}'],
    ['a text behind it, which Vault does not read', '{"path": {"a": {"capabilities": ["read"]}}} {}'],
    ['a comma too many', '{"path": {"a": {"capabilities": ["read"],}}}'],
    ['a comment', '{"path": /* a */ {"a": {"capabilities": ["read"]}}}'],
    ['names without quotes', '{path: {"a": {"capabilities": ["read"]}}}'],
    ['signs of HCL', '{"path" = {"a" = {"capabilities" = ["read"]}}}'],
    ['nothing for a value', '{"path": {"a": {"capabilities": ["read"], "comment": null}}}'],
    ['a path twice', '{"path": {"a": {"capabilities": ["read"]}, "a": {"capabilities": ["deny"]}}}'],
    ['paths twice', '{"path": {"a": {"capabilities": ["read"]}}, "path": {}}'],
    ['a field twice', '{"path": {"a": {"capabilities": ["deny"], "capabilities": ["read"]}}}'],
    ['a mark of the byte order', '\ufeff{"path": {"a": {"capabilities": ["read"]}}}'],
  ])('for JSON with %s', (_what, text) => {
    expect(readPolicy(text)).toBeUndefined()
  })
})

describe('what Vault takes for more than it seems to be is refused', () => {
  it('a comma that is missing in JSON: Vault stops there, and drops what comes behind it', () => {
    const parameters = '"allowed_parameters": {"min_decryption_version": []}'
    expect(readPolicy(`{"path": {"${CONFIG}": {"capabilities": ["update"] ${parameters}}}}`)).toBeUndefined()
    const denial = `"${DECRYPT}": {"capabilities": ["deny"]}`
    expect(readPolicy(`{"path": {"transit/*": {"capabilities": ["update"]} ${denial}}}`)).toBeUndefined()
  })

  it.each(['comment', 'control_group', 'allowed_parameters', 'anything'])(
    'a block called %s with nothing beside it in JSON: Vault takes what is in it for the rule itself',
    (name) => {
      expect(readPolicy(inJson({ [name]: { capabilities: ['update'] } }))).toBeUndefined()
    },
  )

  it('true in a list of JSON: Vault drops it, and a list of nothing is any value', () => {
    const parameters = { exportable: [true] }
    expect(readPolicy(inJson({ capabilities: ['update'], allowed_parameters: parameters }))).toBeUndefined()
    expect(onlyRule('capabilities = ["update"] allowed_parameters = { exportable = [true] }')).toBeDefined()
  })

  it('a list within a list of JSON: Vault ends both at the first end', () => {
    const parameters = { exportable: [['x'], 'y'] }
    expect(readPolicy(inJson({ capabilities: ['update'], allowed_parameters: parameters }))).toBeUndefined()
  })
})

const ADMINS = [{ namespace: 'keyhole', serviceAccount: 'keyhole-cron' }]

const name = fc.stringMatching(/^\w([\w.-]{0,6}\w)?$/).filter((one) => VAULT_NAME.test(one))
const mount = fc
  .array(name, { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'))
  .filter((one) => VAULT_PATH.test(one))

/** Of any policy. */
const wantedRole: fc.Arbitrary<WantedRole> = fc
  .uniqueArray(fc.record({ name, mount, isRotated: fc.boolean() }), {
    selector: (key) => key.name,
    minLength: 1,
    maxLength: 4,
  })
  .map((keys) => {
    const documents = keys.map((key) =>
      transitKey({ mount: key.mount, ...(key.isRotated && { rotation: { admins: ADMINS } }) }, key.name),
    )
    return wantedIn(policyFrom(...documents), OPTIONS).roles
  })
  .chain((roles) => fc.constantFrom(...roles))

function isSame(some: readonly Rule[] | undefined, others: readonly Rule[]): boolean {
  return some?.length === others.length && others.every((rule) => some.some((one) => isSameRule(one, rule)))
}

/** As JSON has it. */
function jsonText({ rules }: WantedRole): string {
  const paths = rules.map(({ path, capabilities, allowedParameters }) => [
    path,
    { capabilities, ...(allowedParameters && { allowed_parameters: allowedParameters }) },
  ])
  return JSON.stringify({ path: Object.fromEntries(paths) })
}

const TOKEN = /#[^\n]*\n|"(?:[^"\\]|\\.)*"|\w+|\s+|./gs

describe('whatever is wanted', () => {
  it('reads as what was written', () => {
    fc.assert(
      fc.property(wantedRole, (role) => {
        expect(readPolicy(policyText(role, 'kubernetes'))).toEqual(role.rules)
        expect(readPolicy(jsonText(role))).toEqual(role.rules)
      }),
      { numRuns: 300 },
    )
  })

  it('reads as nothing else with one piece more or less, unless that piece says nothing', () => {
    const [read, refused] = [{ count: 0 }, { count: 0 }]
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      '"deny"',
      '"a"',
      'path',
      'policy',
      '"',
      '/*',
      '\\',
      EXPRESSION,
      '1',
      'true',
      '\0',
      '+',
      '*',
    ]
    fc.assert(
      fc.property(
        wantedRole,
        fc.boolean(),
        fc.nat(),
        fc.constantFrom('drop', 'double', 'insert'),
        fc.constantFrom(...pieces),
        (role, isJson, where, how, piece) => {
          const text = isJson ? jsonText(role) : policyText(role, 'kubernetes')
          const tokens = text.match(TOKEN) ?? []
          // Behind the comments, where anything goes.
          const first = tokens.findLastIndex((token) => token.startsWith('#')) + 1
          const at = first + (where % (tokens.length - first))
          const one = tokens[at] ?? ''
          const changed = tokens.toSpliced(
            at,
            how === 'drop' ? 1 : 0,
            ...(how === 'drop' ? [] : [how === 'double' ? one : piece]),
          )
          const rules = readPolicy(changed.join(''))
          if (rules === undefined) refused.count += 1
          else read.count += 1
          if (isSame(rules, role.rules))
            expect([how, one.trim()]).toEqual([expect.not.stringMatching('insert'), expect.stringMatching(/^[,=]?$/)])
        },
      ),
      { numRuns: 3000 },
    )
    expect([read.count > 100, refused.count > 1000]).toEqual([true, true])
  })
})

describe('whatever the text', () => {
  const word = fc.constantFrom(
    ...[
      'path',
      '"a"',
      '"b/*"',
      'capabilities',
      '"read"',
      '"deny"',
      'allowed_parameters',
      'policy',
      '"write"',
      '"',
      '\\',
    ],
    ...[
      '{',
      '}',
      '[',
      ']',
      '=',
      ':',
      ',',
      '#',
      '//',
      '/*',
      '*/',
      '\n',
      ' ',
      '1',
      'true',
      '<<A',
      EXPRESSION,
      '\u0000',
      '\ufeff',
      '\u2028',
    ],
  )
  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
    fc.array(word, { maxLength: 60 }).map((words) => words.join(' ')),
    fc.json().map((json) => `{"path": ${json}}`),
  )

  it('is read or refused, and nothing is thrown', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const rules = readPolicy(text)
        if (rules !== undefined) expect(readPolicy(`${text}\n`)).toEqual(rules)
      }),
      { numRuns: 5000 },
    )
  })
})
