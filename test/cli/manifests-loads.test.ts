/** What `keyhole manifests rbac` costs to start: it asks nothing of any server, so it loads nothing that could. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

test('loads no SDK, no server, and nothing of the service', () => {
  const program = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    process.argv = [process.argv[0], 'keyhole', 'manifests', 'rbac', '--policy=deploy/k8s/base/policy']
    process.on('exit', () => process.stderr.write(loaded.join('\\n')))
    await import(${JSON.stringify(join(ROOT, 'src/cli/main.ts'))})`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  expect(status).toBe(0)
  expect(stdout).toContain('kind: RoleBinding')
  const loaded = stderr.split('\n')
  expect(loaded).toContainEqual(expect.stringContaining('/node_modules/yaml/'))
  expect(
    loaded.filter((url) => /client-node|node-vault|undici|fastify|pino|src\/(?:external|services|wire)/.test(url)),
  ).toEqual([])
})
