import { expect, test } from 'vitest'
import { gitopsTool } from '../../../src/services/rotation/gitops.ts'

const bare = { labels: new Map(), annotations: new Map(), managers: [] }

test.each([
  ['Argo CD', { annotations: new Map([['argocd.argoproj.io/tracking-id', 'app:/Secret:payments/db']]) }],
  ['Argo CD', { labels: new Map([['argocd.argoproj.io/instance', 'app']]) }],
  ['Argo CD', { managers: ['kubectl', 'argocd-controller'] }],
  ['Flux', { labels: new Map([['kustomize.toolkit.fluxcd.io/name', 'app']]) }],
  ['Flux', { labels: new Map([['helm.toolkit.fluxcd.io/namespace', 'app']]) }],
  ['Flux', { managers: ['kustomize-controller'] }],
  ['Flux', { managers: ['helm-controller'] }],
])('%s shows by %o', (tool, mark) => {
  expect(gitopsTool({ ...bare, ...mark })).toBe(tool)
})

test.each([
  ['nothing', {}],
  [
    'what people and other tools leave',
    { managers: ['kubectl-edit', 'Mozilla', 'helm'], labels: new Map([['app', 'x']]) },
  ],
  ['a name that only looks like one', { annotations: new Map([['example.com/argocd.argoproj.io/x', '']]) }],
  [
    'a manager that only looks like one',
    { managers: ['my-kustomize-controller', 'helm-controller-2', 'pseudo-argocd-'] },
  ],
  ['a value instead of a name', { labels: new Map([['tool', 'argocd.argoproj.io/instance']]) }],
])('%s points to no tool', (_, marks) => {
  expect(gitopsTool({ ...bare, ...marks })).toBeUndefined()
})
