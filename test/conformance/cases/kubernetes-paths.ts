/** Paths that are no resource, and resources that are not there. */
import type { Case, Expected } from '../case.ts'
import { bearer, status, UNKNOWN_RESOURCE } from './kubernetes-words.ts'

const PLAIN = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }

function got(title: string, path: string, as: 'admin' | 'ada' | 'anonymous', expected: Expected): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    arrange: async ({ operator: { kubernetes } }) => {
      if (as === 'anonymous') return { method: 'GET', path }
      return { method: 'GET', path, headers: bearer(as === 'admin' ? kubernetes.adminToken : kubernetes.userToken) }
    },
  }
}

export const kubernetesPathCases: readonly Case[] = [
  got('anybody may ask whether the API server lives', '/livez', 'anonymous', {
    status: 200,
    headers: PLAIN,
    text: 'ok',
  }),
  got('anybody may ask whether the API server is ready', '/readyz', 'anonymous', { status: 200, text: 'ok' }),
  got('anybody may ask for the version', '/version', 'anonymous', { status: 200, json: { major: '1', minor: '36' } }),
  got('an unknown path is not found', '/nope', 'admin', {
    status: 404,
    headers: PLAIN,
    text: '404 page not found\n',
  }),
  got(
    'an unknown path is forbidden to those without the right',
    '/nope',
    'ada',
    status(403, 'Forbidden', 'forbidden: User "ada" cannot get path "/nope"', {}),
  ),
  got(
    'an unknown path is forbidden to the anonymous user',
    '/nope',
    'anonymous',
    status(403, 'Forbidden', 'forbidden: User "system:anonymous" cannot get path "/nope"', {}),
  ),
  got('an unknown resource is not found', '/api/v1/namespaces/default/nopes/x', 'admin', UNKNOWN_RESOURCE),
  got(
    'an unknown resource is forbidden to those without the right',
    '/api/v1/namespaces/default/nopes/x',
    'ada',
    status(
      403,
      'Forbidden',
      'nopes "x" is forbidden: User "ada" cannot get resource "nopes" in API group "" in the namespace "default"',
      { name: 'x', kind: 'nopes' },
    ),
  ),
  got('an unknown API group is not found', '/apis/nope/v1/x', 'admin', {
    status: 404,
    headers: PLAIN,
    text: '404 page not found\n',
  }),
  got('a single review has no address', '/apis/authentication.k8s.io/v1/tokenreviews/x', 'admin', UNKNOWN_RESOURCE),
]
