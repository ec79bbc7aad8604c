import { graphql } from '$lib/api/graphql';

export const colleaguesQuery = graphql(`
  query Colleagues {
    colleagues {
      user { id displayName role }
      signedIn
      open
    }
  }
`);

export const handOverMutation = graphql(`
  mutation HandOver($input: HandOverInput!) {
    handOver(input: $input) {
      sessions { id dispatcher { id displayName } }
    }
  }
`);

export const takeOverMutation = graphql(`
  mutation TakeOver($input: TakeOverInput!) {
    takeOver(input: $input) {
      session { id dispatcher { id displayName } }
    }
  }
`);

export const whisperMutation = graphql(`
  mutation Whisper($input: WhisperInput!) {
    whisper(input: $input) {
      session { id }
    }
  }
`);

export const readWhisperMutation = graphql(`
  mutation ReadWhisper($input: ReadWhisperInput!) {
    readWhisper(input: $input) {
      session { id }
    }
  }
`);

export const classificationQuery = graphql(`
  query Classification {
    classification { ja en }
  }
`);
