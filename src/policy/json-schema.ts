/**
 * The schema of a policy document for editors: policy.schema.json. The YAML language server completes and checks
 * with it after a first line such as `# yaml-language-server: $schema=policy.schema.json`.
 */
import * as z from 'zod'
import { secretGrantDocument, transitKeyDocument } from './schema.ts'

/** The text of policy.schema.json; test/policy/json-schema.test.ts holds the file to it. */
export function policyJsonSchema(): string {
  const document = z
    .discriminatedUnion('kind', [transitKeyDocument, secretGrantDocument])
    .meta({ title: 'keyhole policy', description: 'One document of a keyhole policy. A file may hold several.' })
  return `${JSON.stringify(z.toJSONSchema(document, { io: 'input', target: 'draft-2020-12' }), null, 2)}\n`
}
