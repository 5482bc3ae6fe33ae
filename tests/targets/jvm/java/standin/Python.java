package standin;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.json.JSONException;
import org.json.JSONObject;

/** Python's libraries of the same name, in a process beside: a line of JSON asks, a line of JSON answers. */
public final class Python {
    private static Python running;
    private final BufferedWriter ask;
    private final BufferedReader answer;

    private Python() throws IOException {
        Process process = new ProcessBuilder(System.getProperty("standin.python"), System.getProperty("standin.program"))
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroy));
        ask = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
        answer = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    }

    /** Returns what the library answers; null where it failed, with the failure's text in {@code failure}. */
    public static synchronized JSONObject call(String what, JSONObject given) throws Failure {
        try {
            if (running == null) running = new Python();
            running.ask.write(given.put("call", what).toString());
            running.ask.newLine();
            running.ask.flush();
            String line = running.answer.readLine();
            if (line == null) throw new IOException("Python ended");
            JSONObject answered = new JSONObject(line);
            if (answered.has("failure")) throw new Failure(answered.getString("failure"));
            return answered;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    /** The call failed in the library itself. */
    public static final class Failure extends Exception {
        public Failure(String message) {
            super(message);
        }
    }
}
