// A client made from the description of the interface, in strict TypeScript: it compiles only while the
// description says what it uses.

import createClient from 'openapi-fetch';

import type { components, paths } from './openapi.js';

type Code = components['schemas']['CheckReason']['code'];

export interface Told {
  canAccess: boolean;
  code: Code;
  batch: boolean[];
  refused: components['schemas']['Problem']['code'] | undefined;
}

export async function ask(url: string, key: string, account: string): Promise<Told> {
  const client = createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${key}` } });
  const features = await client.GET('/api/v1/features');
  const feature = features.data?.data[0];
  if (!feature) throw new Error('there are no features');
  const check = { accountId: account, feature: feature.key };
  const one = await client.POST('/api/v1/feature-check', { body: check });
  if (!one.data) throw new Error(one.error.code);
  const several = await client.POST('/api/v1/feature-check/batch', { body: { checks: [check, check] } });
  if (!several.data) throw new Error(several.error.code);
  const unknown = { accountId: account, feature: 'there_is_no_such_feature' };
  const { error } = await client.POST('/api/v1/feature-check', { body: unknown });
  return {
    canAccess: one.data.canAccess,
    code: one.data.reason.code,
    batch: several.data.results.map((result) => result.canAccess),
    refused: error?.code,
  };
}
