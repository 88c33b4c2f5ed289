// The one door between a group's pin and the server. It shows nothing.
export default function ({ data, setStateValue }) {
  const entry = link(data.group);
  entry.send = (message) => setStateValue('pin', message);
  obey(entry, data.pin, data.heard);
  return () => {
    clearTimeout(entry.timer);
    entry.unheard = false;
  };
}
