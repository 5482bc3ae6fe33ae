package ai.onnxruntime.genai;

import org.json.JSONException;
import org.json.JSONObject;
import standin.Python;

public class Model implements AutoCloseable {
    final String path;

    public Model(String modelPath) throws GenAIException {
        path = modelPath;
        ask("genai.open", new JSONObject());
    }

    JSONObject ask(String what, JSONObject given) throws GenAIException {
        try {
            return Python.call(what, given.put("path", path));
        } catch (Python.Failure error) {
            throw new GenAIException(error.getMessage());
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void close() {}
}
