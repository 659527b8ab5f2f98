/** Run as `node src/policy/write-schema.ts policy.schema.json` after a change to schema.ts. */
import { writeFileSync } from 'node:fs'
import { policyJsonSchema } from './json-schema.ts'

for (const path of process.argv.slice(2)) writeFileSync(path, policyJsonSchema())
