// The developers' page of `genba serve --dev`: GraphiQL from our own files, acting as whoever is signed in at the console.
/* global React, ReactDOM, GraphiQL */
ReactDOM.createRoot(document.getElementById('graphiql')).render(
  React.createElement(GraphiQL, {
    fetcher: async (operation) => {
      const answer = await fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'Genba-Actor': 'console' },
        body: JSON.stringify(operation),
      });
      return answer.json();
    },
  }),
);
