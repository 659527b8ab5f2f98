import { expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { VERSION } from '../../src/version.ts'
import { document } from './document.ts'

it('the version is the same in package.json, in the code and in openapi.yaml', () => {
  expect([VERSION, document.info.version]).toEqual([packageJson.version, packageJson.version])
})
