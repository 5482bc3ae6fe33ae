package ai.onnxruntime;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import standin.Python;

public class OrtSession implements AutoCloseable {
    private final String path;

    OrtSession(String path) throws OrtException {
        this.path = path;
        ask("onnxruntime.open", new JSONObject());
    }

    public Result run(Map<String, ? extends OnnxTensorLike> inputs, Set<String> outputs) throws OrtException {
        try {
            JSONObject feeds = new JSONObject();
            for (Map.Entry<String, ? extends OnnxTensorLike> entry : inputs.entrySet()) {
                feeds.put(entry.getKey(), ((OnnxTensor) entry.getValue()).json());
            }
            JSONObject asked = new JSONObject().put("feeds", feeds).put("outputs", new JSONArray(outputs));
            JSONObject found = ask("onnxruntime.run", asked).getJSONObject("outputs");
            Map<String, OnnxValue> values = new LinkedHashMap<>();
            for (String name : outputs) values.put(name, OnnxTensor.of(found.getJSONObject(name)));
            return new Result(values);
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void close() throws OrtException {}

    private JSONObject ask(String what, JSONObject given) throws OrtException {
        try {
            return Python.call(what, given.put("path", path));
        } catch (Python.Failure error) {
            throw new OrtException(error.getMessage());
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    public static class SessionOptions implements AutoCloseable {
        public void setIntraOpNumThreads(int numThreads) throws OrtException {}

        @Override
        public void close() {}
    }

    public static class Result implements AutoCloseable {
        private final Map<String, OnnxValue> values;

        Result(Map<String, OnnxValue> values) {
            this.values = values;
        }

        public Optional<OnnxValue> get(String key) {
            return Optional.ofNullable(values.get(key));
        }

        @Override
        public void close() {}
    }
}
