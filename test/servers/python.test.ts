/** The Python library against the servers as they are set up: what `binding: none` exists for. */
import { expect, inject, test } from 'vitest'
import { operatorOf } from './operator.ts'
import { LEGACY_SECRET, pythonLibrary } from './python.ts'

const connection = inject('connection')
const operator = operatorOf(connection)

test('writes a Secret that holds Transit ciphertext, and reads its dictionary back', async () => {
  const library = await pythonLibrary(connection, operator, inject('programs'))
  await library.write('{"PGHOST": "db", "PGPORT": 5432}')
  expect(await operator.kubernetes.getSecret(LEGACY_SECRET)).toEqual({
    [LEGACY_SECRET.dataKey]: expect.stringMatching(/^vault:v\d+:/),
  })
  expect(await library.read()).toEqual({ PGHOST: 'db', PGPORT: 5432 })
})

test('is timed in one process and as a process', async () => {
  const library = await pythonLibrary(connection, operator, inject('programs'))
  await library.write('{}')
  expect(await library.timeInOneProcess(3)).toHaveLength(3)
  expect(await library.timeAsProcess()).toBeGreaterThan(0)
})

test('rotates the key and writes the Secret again under its new version', async () => {
  const library = await pythonLibrary(connection, operator, inject('programs'))
  await library.write('{"PGHOST": "db"}')
  const versionOf = async () =>
    (await operator.kubernetes.getSecret(LEGACY_SECRET))?.[LEGACY_SECRET.dataKey]?.split(':')[1]
  const before = Number((await versionOf())?.slice(1))
  expect(await library.timeRotations(2)).toHaveLength(2)
  expect(await versionOf()).toBe(`v${before + 2}`)
  expect(await library.read()).toEqual({ PGHOST: 'db' })
})
